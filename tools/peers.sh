#!/usr/bin/env bash
# The real peers that the tests talk to: installs what is missing when run as root, otherwise says what is missing and what that skips.
set -u
missing=()
# Only the package's own program counts: the tests are written for its version, and somebody's own build in PATH may lack half of it.
while read -r package program skips; do
    [ -e "$program" ] || missing+=("$package|$skips")
done <<'LIST'
bird2 /usr/sbin/bird interop with BIRD
frr /usr/lib/frr/bgpd interop with FRR
gobgpd /usr/bin/gobgpd interop with GoBGP
openbgpd /usr/sbin/bgpd interop with OpenBGPD
tshark /usr/bin/tshark captures judged by tshark
tcpdump /usr/bin/tcpdump our capture compared with tcpdump's
bind9-dnsutils /usr/bin/dig DNS asked by dig
iproute2 /usr/sbin/ip tests in network namespaces
iputils-ping /usr/bin/ping a real kernel that pings through the forwarding model
rabbitmq-server /usr/sbin/rabbitmqctl configuration over RabbitMQ
zookeeper /usr/share/zookeeper/bin/zkServer.sh configuration over ZooKeeper
openjdk-17-jre-headless /usr/bin/java configuration over Cassandra and ZooKeeper
maven /usr/bin/mvn configuration over Cassandra, which is fetched from Maven Central
LIST
[ ${#missing[@]} = 0 ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "make: installing ${missing[*]%%|*}" >&2
    export DEBIAN_FRONTEND=noninteractive
    echo "wireshark-common wireshark-common/install-setuid boolean false" | debconf-set-selections 2>/dev/null
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]%%|*}" >/dev/null || exit 1
else
    for row in "${missing[@]}"; do
        echo "make: ${row%%|*} is not installed; this skips: ${row#*|}" >&2
    done
    echo "make: to install: sudo apt-get install ${missing[*]%%|*}" >&2
fi
exit 0
