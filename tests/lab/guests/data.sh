# A disk and a source of entropy behind the unit: what is written is read again, in this run and in the next.
disk=/dev/vda
waits=0
while [ ! -b $disk ] && [ $waits -lt 100 ]; do sleep 0.1; waits=$((waits + 1)); done
function_of() { basename "$(readlink -f "/sys/block/vda/device/..")"; }
group=$(readlink -f "/sys/bus/pci/devices/$(function_of)/iommu_group")
[ -n "$group" ] && grep -q DMA "$group/type" && say "unit translates for the disk"
say "serial $(cat /sys/block/vda/serial)"

# The first MiB has a sum and says where it came from.
sum_of() { dd if=$disk bs=1M skip="$1" count="$2" 2>/dev/null | sha256sum | cut -d' ' -f1; }
drop() { sync; echo 3 > /proc/sys/vm/drop_caches; }
if dd if=$disk bs=4096 count=1 2>/dev/null | grep -q "LAB written"; then
    kept=$(dd if=$disk bs=4096 count=1 2>/dev/null | sed -n 's/^LAB written //p' | tr -d '\0')
    [ "$kept" = "$(sum_of 8 32)" ] && say "disk kept what was written before" || say "wrong: the disk lost $kept"
fi
dd if=/dev/urandom of=/data bs=1M count=32 2>/dev/null
want=$(sha256sum < /data | cut -d' ' -f1)
# Small pieces, and large ones that are mapped as scatter lists.
dd if=/data of=$disk bs=1M seek=8 count=24 conv=notrunc 2>/dev/null
dd if=/data of=$disk bs=4096 skip=6144 seek=8192 count=2048 conv=notrunc 2>/dev/null
drop
for round in 1 2 3; do
    [ "$(sum_of 8 32)" = "$want" ] || say "wrong: round $round reads another sum"
    drop
done
say "disk reads what was written"
{ echo "LAB written $want"; dd if=/dev/zero bs=4096 count=1 2>/dev/null; } | dd of=$disk bs=4096 count=1 conv=notrunc 2>/dev/null
drop

if [ -c /dev/hwrng ]; then
    first=$(dd if=/dev/hwrng bs=64 count=1 2>/dev/null | sha256sum)
    second=$(dd if=/dev/hwrng bs=64 count=1 2>/dev/null | sha256sum)
    [ "$first" != "$second" ] && say "entropy arrives"
fi
dmesg | grep -E 'DMAR: \[|fault reason' | grep -v "Queued invalidation"
