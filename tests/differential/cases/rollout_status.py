"""`rollout status` on the samples; a rollout under way is in test_rollout_integration.py of the verb."""

from typing import Final

from tests.differential.case import Case

CASES: Final[tuple[Case, ...]] = (
    Case("rollout status deploy/web -n samples"),
    Case("rollout status deployments.apps/web -n samples --watch=false"),
    Case("rollout status deployment web -n samples --timeout=20s"),
    Case("rollout status deploy -n samples"),
    Case("rollout status deploy,ds,sts -n samples"),
    Case("rollout status deploy/web -n samples --revision=1"),
    Case("rollout status deploy/web -n samples --revision=0 -w"),
    Case("rollout status deploy/web -n samples --request-timeout=20s"),
    Case("rollout status deploy/kubently-agent -n kubently"),
    Case("rollout status deploy -n kubently -l app.kubernetes.io/name=kubently-agent"),
    Case("rollout status deploy -n samples -l app=nobody"),
    Case("rollout status sts -n samples"),
    Case("rollout status ds,sts -n nowhere"),
    # what cannot be told
    Case("rollout status"),
    Case("rollout status -n samples -l app=web"),
    Case("rollout status deploy/web -n samples --revision=7"),
    Case("rollout status deploy/absent -n samples"),
    Case("rollout status deploy/absent deploy/web -n samples"),
    Case("rollout status deploy web absent -n samples"),
    Case("rollout status deploy/absent sts/absent ds/absent -n samples"),
    Case("rollout status deploy/web"),
    Case("rollout status deploy/web -n nowhere"),
    Case("rollout status nonsense/web -n samples"),
    Case("rollout status deploy,nonsense -n samples"),
    Case("rollout status deploy/web -n samples -l app=web"),
    Case("rollout status deploy web -n samples -l app=web"),
    Case("rollout status deploy -n samples -l 'a!!'"),
    Case("rollout status pod/talker -n samples"),
    Case("rollout status pods -n samples"),
    Case("rollout status job/migrate cm/settings deploy/web -n samples"),
    Case("rollout status rs,svc -n samples"),
    Case("rollout status all -n samples"),
    Case("rollout status widget/bolt -n samples"),
    Case("rollout status widgets,deploy -n samples"),
    Case("rollout status node/samples-node"),
    Case("rollout status crd/widgets.samples.kubently.dev"),
)
