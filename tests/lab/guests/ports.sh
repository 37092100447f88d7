# Devices behind root ports: each on a bus of its own, in a group of its own, with a disk that the unit translates for.
disk=/dev/vda
waits=0
while [ ! -b $disk ] && [ $waits -lt 100 ]; do sleep 0.1; waits=$((waits + 1)); done
function_of() { basename "$(readlink -f "/sys/block/vda/device/..")"; }
say "disk is $(function_of), engine is $(basename "$(dirname "$(grep -l 0x0a17 /sys/bus/pci/devices/*/device)")")"
grep -q DMA "/sys/bus/pci/devices/$(function_of)/iommu_group/type" && say "unit translates for the disk"
[ "$(ls "/sys/bus/pci/devices/$(function_of)/iommu_group/devices" | wc -l)" = 1 ] && say "group of its own"
check() {
    dd if=/dev/urandom of=/data bs=64k count=8 2>/dev/null
    dd if=/data of=$disk bs=64k conv=fsync 2>/dev/null
    echo 3 > /proc/sys/vm/drop_caches
    [ "$(dd if=$disk bs=64k count=8 2>/dev/null | sha256sum)" = "$(sha256sum < /data)" ]
}
check && say "disk reads what was written" || say "wrong: the disk reads something else"
engine=/sys/bus/pci/devices/0000:01:00.0
echo "bus" > $engine/reset_method && echo 1 > $engine/reset && say "engine's bus is reset"
[ "$(cat $engine/vendor)" = 0x1234 ] && say "engine answers again"
