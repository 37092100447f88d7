# Changes the mapping of a process's pages while the DMA engine uses them by PASID. What is done stands on the kernel's command
# line: sva.operations=NAME,NAME sva.rounds=N sva.chunk=N; what the module is told, sva.module=WORD,WORD.
told() { sed -n "s/.*sva\.$1=\([^ ]*\).*/\1/p" /proc/cmdline | tr , ' '; }
# Swapping goes to memory.
if [ -e /sys/block/zram0 ]; then
    echo 64M > /sys/block/zram0/disksize && mkswap /dev/zram0 > /dev/null && swapon /dev/zram0 || say "wrong: nothing to swap to"
fi
dmesg -c > /dev/null
insmod /lib/lab_sva.ko $(told module) || say "wrong: the module is not taken"
lab-sva "$(told rounds)" "$(told chunk)" $(told operations)
say "sva status $?"
rmmod lab_sva || say "wrong: the module does not go"
dmesg | grep -E 'DMAR: \[|fault reason' | sed 's/^/LAB complaint: /'
dmesg | grep -qE 'WARNING:|BUG:|Oops' && say "the kernel warns"
