"""`describe`: of Secrets, without those that are found. kubectl prints their keys in any order, tokens in clear."""

from typing import Final

from tests.differential.case import Case

CASES: Final[tuple[Case, ...]] = (
    Case("describe"),
    Case("describe foo"),
    Case("describe foo x -n samples"),
    Case("describe foos.apps"),
    Case("describe all x -n samples"),
    Case("describe secret zz -n samples"),
    Case("describe secret zz"),
    Case("describe secret/zz -n samples"),
    Case("describe secret/cred -n samples"),
    Case("describe secret/credentials secret/nope -n samples"),
    Case("describe secret/nope secret/credentials -n samples"),
    Case("describe secret/nope1 secret/nope2 -n samples"),
    Case("describe secret nope1 nope2 -n samples"),
    Case("describe secret nope1 nope2 nope3 -n samples"),
    Case("describe secret nope -n nowhere"),
    Case("describe secret nope1 nope2 -n nowhere"),
    Case("describe secrets -n nowhere"),
    Case("describe Secret -n nowhere --chunk-size=1"),
    Case("describe secrets.v1. -n nowhere"),
    Case("describe secret,secrets -n nowhere"),
    Case("describe secret -n samples -l a=b"),
    Case("describe secret -n samples -l 'a in (b,c)' --show-events=false"),
    Case("describe secret -n samples -l 'a in'"),
    Case("describe secret -A -l a=b"),
    Case("describe secret zz -A"),
    Case("describe secret/zz -A"),
    Case("describe secret zz -l a=b"),
    Case("describe secret/zz -l a=b"),
    Case("describe secret zz -n samples --request-timeout=30s"),
)
