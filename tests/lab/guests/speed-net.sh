# Measures: a file over TCP from the host's loopback, three times, and whether it arrives whole.
waits=0
while [ ! -e /sys/class/net/eth0 ] && [ $waits -lt 100 ]; do sleep 0.1; waits=$((waits + 1)); done
ip link set eth0 up
# Where either network has its guests and its gateway.
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
base=http://10.0.2.2:8080
want=$(wget -q -O - $base/sum)
[ "$(wget -q -O - $base/file | sha256sum | cut -d' ' -f1)" = "$want" ] || say "wrong: the file has another sum"
now() { cut -d' ' -f1 /proc/uptime; }
for round in 1 2 3; do
    from=$(now)
    wget -q -O /dev/null $base/file || say "wrong: round $round"
    say "speed TCP: 8 MiB in $(awk "BEGIN { print $(now) - $from }") s"
done
grep -E 'virtio' /proc/interrupts | sed 's/^/LAB interrupts /'
