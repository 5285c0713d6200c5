#!/usr/bin/env bash
# one_node.sh COMMAND...   runs a command beside a Slurm of one node, which claims two GPUs and keeps no accounting.
#
# Slurm's daemons, configuration and state live in namespaces of their own and in a temporary folder, which is the
# command's TMPDIR too: outside, nothing of them is seen or changed, and they end with the command, however it ends. Only
# Debian's packages stay.
set -euo pipefail

# fail SENTENCE [LOG...]
fail() {
    echo "one_node.sh: $1" >&2
    if [ $# -gt 1 ]; then tail -n 20 "${@:2}" >&2; fi
    exit 1
}

is_installed() { [ -x /usr/sbin/slurmctld ] && [ -x /usr/sbin/slurmd ] && [ -x /usr/sbin/munged ]; }

install_packages() {
    if is_installed; then return; fi
    if ! command -v apt-get >/dev/null; then fail "Slurm is not installed, and there is no apt-get to install it with."; fi
    echo "one_node.sh: installing slurm-wlm and munge" >&2
    export DEBIAN_FRONTEND=noninteractive
    # Run level 1: Debian then leaves their services alone. The daemons of this test are started below.
    (apt-get update && RUNLEVEL=1 apt-get install --yes --no-install-recommends slurm-wlm munge) >"$folder/apt.log" 2>&1 ||
        fail "slurm-wlm and munge could not be installed:" "$folder/apt.log"
}

free_port() { python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

configure() {
    local host
    host=$(hostname -s)
    mkdir "$folder"/{etc,state,spool,tmp}
    (umask 077 && head -c 128 /dev/urandom >"$folder/munge.key")
    # The node is believed what it claims (config_overrides): memory and GPUs are held by nobody but Slurm's own books.
    # Ended jobs stay in the list for a day, for want of accounting.
    cat >"$folder/etc/slurm.conf" <<END
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
SlurmUser=root
AuthInfo=socket=$folder/munge.socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
MinJobAge=86400
KillWait=5
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(($(nproc) > 2 ? $(nproc) : 2)) RealMemory=256000 Gres=gpu:2
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE
END
    echo "Name=gpu File=/dev/null,/dev/zero" >"$folder/etc/gres.conf"
    echo "CgroupPlugin=cgroup/v1" >"$folder/etc/cgroup.conf" # none is made; version 2 would want systemd
}

start() {
    # Here alone Slurm's commands look when they run inside a job.
    mount --bind "$folder/etc" /etc/slurm
    munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
        --seed-file="$folder/munge.seed" --log-file="$folder/munged.log"
    slurmctld
    slurmd
    for _ in {1..20}; do
        if [ "$(timeout 5 sinfo --noheader --format=%t)" = idle ]; then return; fi
        sleep 0.5
    done
    fail "Slurm did not come up:" "$folder"/*.log
}

finish() {
    if [ -n "${node:-}" ] && kill -KILL "$node" 2>/dev/null; then wait "$node" || true; fi
    rm -rf "$folder" || { sleep 1 && rm -rf "$folder"; } # what was killed may have been writing
}

if [ "$(id -u)" != 0 ]; then fail "This installs Debian packages and starts Slurm's daemons, so it has to run as root."; fi
if [ -z "${ONE_NODE_FOLDER:-}" ]; then
    folder=$(mktemp --directory)
    trap finish EXIT
    trap 'exit 1' HUP INT TERM
    install_packages
    configure
    # When the first process of a process namespace ends, the kernel ends all others: so no daemon is left.
    export ONE_NODE_FOLDER=$folder
    setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc "$0" "$@" &
    node=$!
    wait $node
else
    folder=$ONE_NODE_FOLDER
    start
    TMPDIR=$folder/tmp "$@"
fi
