# Measures: how long the kernel took to its first process, and reads of a disk.
say "speed boot to init: $(cut -d' ' -f1 /proc/uptime) s"
waits=0
while [ ! -b /dev/vda ] && [ $waits -lt 100 ]; do sleep 0.1; waits=$((waits + 1)); done
for round in 1 2 3; do lab-disk /dev/vda 2000; done
grep -E 'vda|virtio' /proc/interrupts | sed 's/^/LAB interrupts /'
