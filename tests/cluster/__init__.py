"""A real Kubernetes API server on loopback, for the tests and the demo; `scripts/testcluster` is its command.

assets.py         where the binaries come from
debian.py         building them from Debian's source package
certificates.py   a small authority of the cluster's own
processes.py      starting, finding and ending what a cluster consists of
control_plane.py  etcd, API server, controller manager, scheduler: their flags
kubelet.py        the stand-in for a node
controllers.py    the stand-in for the controller manager, where there is none
cluster.py        up, down, status
"""
