# The root that the command line names, as an initial RAM disk mounts it.
root=$(sed 's/.*root=\([^ ]*\).*/\1/' /proc/cmdline)
say "told $(cut -d' ' -f1-5 /proc/cmdline)"
waits=0
while [ ! -b "$root" ] && [ $waits -lt 100 ]; do sleep 0.1; waits=$((waits + 1)); done
say "root has serial $(cat "/sys/block/${root#/dev/}/serial")"
mkdir /root
if mount -t ext4 "$root" /root 2> /dev/null; then
    [ "$(cat /root/file)" = "written" ] && say "root kept what was written before" || say "wrong: the root lost its file"
else
    mke2fs -F "$root" > /dev/null
    mount -t ext4 "$root" /root || say "wrong: $root is not mounted"
    echo written > /root/file
fi
umount /root
