# A disk that each processor reaches by a queue of its own, both at once.
disk=/dev/vda
waits=0
while [ ! -b $disk ] && [ $waits -lt 100 ]; do sleep 0.1; waits=$((waits + 1)); done
say "disk has $(ls /sys/block/vda/mq | wc -l) queues on $(grep -c ^processor /proc/cpuinfo) processors"

sum_of() { dd if=$disk bs=64k skip="$1" count=192 2>/dev/null | sha256sum | cut -d' ' -f1; }
drop() { sync; echo 3 > /proc/sys/vm/drop_caches; }
for number in 0 1; do
    dd if=/dev/urandom of=/data$number bs=64k count=192 2>/dev/null
    sha256sum < /data$number | cut -d' ' -f1 > /want$number
done
# Each writes and flushes a part, and reads the other's.
for round in 1 2 3; do
    for number in 0 1; do
        taskset -c $number dd if=/data$number of=$disk bs=64k seek=$((128 + number * 256)) count=192 conv=notrunc,fsync 2>/dev/null &
    done
    wait
    drop
    for number in 0 1; do
        (
            taskset -p $((1 << (1 - number))) "$(sh -c 'echo $PPID')" > /dev/null
            [ "$(sum_of $((128 + number * 256)))" = "$(cat /want$number)" ] || say "wrong: round $round, processor $((1 - number)) reads another sum"
        ) &
    done
    wait
    drop
done
say "each reads what the other wrote"
for queue in 0 1; do
    told=$(sed -n "s/^ *[0-9]*: *\([0-9]*\) *\([0-9]*\).*virtio.-req\.$queue\$/\1 \2/p" /proc/interrupts)
    say "queue $queue told $told"
    own=$(echo "$told" | cut -d' ' -f$((queue + 1)))
    [ "${own:-0}" -gt 0 ] || say "wrong: queue $queue has told its own processor of nothing"
done
dmesg | grep -E 'DMAR: \[|fault reason' | grep -v "Queued invalidation"
