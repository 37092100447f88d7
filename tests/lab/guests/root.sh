# The root that the command line names, as an initial RAM disk mounts it.
root=$(sed 's/.*root=\([^ ]*\).*/\1/' /proc/cmdline)
say "told $(cut -d' ' -f1-5 /proc/cmdline)"
waits=0
while [ ! -b "$root" ] && [ $waits -lt 100 ]; do sleep 0.1; waits=$((waits + 1)); done
say "root has serial $(cat "/sys/block/${root#/dev/}/serial")"
mkdir /system
if mount -t ext4 "$root" /system 2> /dev/null; then
    [ "$(cat /system/file)" = "written" ] && say "root kept what was written before" || say "wrong: the root lost its file"
else
    mke2fs -F "$root" > /dev/null
    mount -t ext4 "$root" /system || say "wrong: $root is not mounted"
    echo written > /system/file
fi
umount /system
