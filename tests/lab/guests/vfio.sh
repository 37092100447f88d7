# Our program drives each DMA engine by VFIO.
dmesg -c > /dev/null
for device in /sys/bus/pci/devices/*; do
    [ "$(cat "$device/vendor"):$(cat "$device/device")" = 0x1234:0x0a17 ] || continue
    echo vfio-pci > "$device/driver_override"
    basename "$device" > /sys/bus/pci/drivers_probe
    engines="$engines $device"
done
lab-vfio $engines || say "wrong: the program ends with $?"
# Faults are told by an interrupt.
sleep 1
dmesg | grep -E 'DMAR: \[|fault reason|already set' | sed 's/^/LAB complaint: /'
dmesg | grep -qE 'WARNING:|BUG:|Oops' && say "the kernel warns"
