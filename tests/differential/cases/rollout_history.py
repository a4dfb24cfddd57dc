"""`rollout history` on the samples. What describes one revision is kubectl's to print."""

from typing import Final

from tests.differential.case import Case

CASES: Final[tuple[Case, ...]] = (
    Case("rollout history deploy/web -n samples"),
    Case("rollout history deployments.v1.apps/web -n samples --revision=0"),
    Case("rollout history deploy -n samples"),
    Case("rollout history deploy web -n samples"),
    Case("rollout history deploy,ds,sts -n samples"),
    Case("rollout history deploy -n kubently -l app.kubernetes.io/name=kubently-agent"),
    Case("rollout history deploy -n samples -l app=nobody"),
    Case("rollout history deploy -n nowhere"),
    Case("rollout history deploy/web -n samples -o name"),
    Case("rollout history deploy/web -n samples -o json"),
    Case("rollout history deploy/web -n samples -o json --show-managed-fields"),
    Case("rollout history deploy/web -n samples -o yaml"),
    Case("rollout history deploy/web deploy/web -n samples -o yaml --show-managed-fields"),
    Case("rollout history deploy/web -n samples -o yaml --revision=1"),
    Case("rollout history deploy/web -n samples -o jsonpath='{.metadata.name} {.spec.replicas} {.kind}{\"\\n\"}'"),
    Case("rollout history deploy/web -n samples -o jsonpath={.spec.template}"),
    Case("rollout history deploy/web -n samples -o jsonpath-as-json={.metadata.creationTimestamp}"),
    Case("rollout history deploy/kubently-agent -n kubently -o json"),
    Case("rollout history deploy/kubently-agent -n kubently -o yaml"),
    Case("rollout history ds,sts -n samples -o name"),
    # what cannot be told
    Case("rollout history"),
    Case("rollout history -n samples -l app=web"),
    Case("rollout history deploy/web -n samples -o name --revision=7"),
    Case("rollout history deploy/web -n samples -o jsonpath={.absent.field}"),
    Case("rollout history deploy/web -n samples -o jsonpath={.absent} --allow-missing-template-keys=false"),
    Case("rollout history deploy/web -n samples -o jsonpath={.a"),
    Case("rollout history deploy/absent -n samples"),
    Case("rollout history deploy/absent deploy/web -n samples"),
    Case("rollout history deploy/web -n nowhere"),
    Case("rollout history nonsense/web -n samples"),
    Case("rollout history deploy/web -n samples -l app=web"),
    Case("rollout history deploy -n samples -l 'a!!'"),
    Case("rollout history pod/talker -n samples"),
    Case("rollout history pods -n samples"),
    Case("rollout history pod/talker -n samples -o json"),
    Case("rollout history rs,job -n samples"),
    Case("rollout history widget/bolt -n samples"),
)
