# A network interface behind the unit, whose cable leads to the program's own network: the host's server says a file.
waits=0
while [ ! -e /sys/class/net/eth0 ] && [ $waits -lt 100 ]; do sleep 0.1; waits=$((waits + 1)); done
function_of() { basename "$(readlink -f /sys/class/net/eth0/device/..)"; }
group=$(readlink -f "/sys/bus/pci/devices/$(function_of)/iommu_group")
[ -n "$group" ] && grep -q DMA "$group/type" && say "unit translates for the interface"
ip link set lo up
ip link set eth0 up
cat > /leased <<'EOF'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/$mask" dev eth0
ip route add default via "$router"
echo "LAB address $ip by $router"
EOF
chmod +x /leased
udhcpc -i eth0 -n -q -t 10 -s /leased 2>&1 | grep LAB
ping -c 3 -W 20 10.0.2.2 > /dev/null && say "gateway answers"

base=http://10.0.2.2:8080
want=$(wget -q -O - $base/sum)
[ -n "$want" ] || say "wrong: the server is not reached"
for round in 1 2 3; do
    [ "$(wget -q -O - $base/file | sha256sum | cut -d' ' -f1)" = "$want" ] || say "wrong: round $round has another sum"
done
say "file arrives whole"
# Two at once, each through buffers of its own.
wget -q -O - $base/file | sha256sum | cut -d' ' -f1 > /one &
wget -q -O - $base/file | sha256sum | cut -d' ' -f1 > /two
wait
[ "$(cat /one) $(cat /two)" = "$want $want" ] && say "two files arrive at once"
wget -q -O - http://10.0.2.2:8081/ 2> /dev/null && say "wrong: nobody listens there"
wget -q -O - http://192.0.2.7/ 2> /dev/null && say "wrong: that is not to be reached"
say "what is not to be reached is refused"
ip link set eth0 down
dmesg | grep -E 'DMAR: \[|fault reason' | grep -v "Queued invalidation"
