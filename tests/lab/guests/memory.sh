# Memory above 4 GiB, which a disk reaches: what is read of a file goes there before it goes anywhere else.
of_normal() { awk -v want="$1" '/^Node/ { zone = $4 } zone == "Normal" && $1 ~ want { sum += $2 } END { print sum + 0 }' /proc/zoneinfo; }
[ "$(of_normal '^present$')" -ge 65536 ] && say "memory above 4 GiB" || say "wrong: zone Normal has $(of_normal '^present$') pages"
say "is called $(cat /sys/class/dmi/id/product_name), $(cat /sys/class/dmi/id/sys_vendor)"
waits=0
while [ ! -b /dev/vda ] && [ $waits -lt 100 ]; do sleep 0.1; waits=$((waits + 1)); done
mke2fs -F /dev/vda > /dev/null
mkdir /disk
mount -t ext4 /dev/vda /disk || mount -t ext2 /dev/vda /disk || say "wrong: the disk is not mounted"
dd if=/dev/urandom of=/data bs=1M count=16 2>/dev/null
want=$(sha256sum < /data | cut -d' ' -f1)
cp /data /disk/data
sync
echo 3 > /proc/sys/vm/drop_caches
before=$(of_normal '^nr_zone_.*_file$')
found=$(sha256sum < /disk/data | cut -d' ' -f1)
pages=$(($(of_normal '^nr_zone_.*_file$') - before))
# 4096 pages in all.
if [ "$found" = "$want" ] && [ $pages -gt 3000 ]; then
    say "disk reads into it"
else
    say "wrong: read $found, not $want, into $pages pages above 4 GiB"
fi
umount /disk
