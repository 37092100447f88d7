# Our module drives each device that it knows. The kernel's command line has its parameters, each as lab_dma.NAME=VALUE.
arguments=
for word in $(cat /proc/cmdline); do
    case $word in lab_dma.*) arguments="$arguments ${word#lab_dma.}" ;; esac
done
dmesg -c > /dev/null
insmod /lib/lab_dma.ko $arguments || say "wrong: the module is not taken"
rmmod lab_dma || say "wrong: the module does not go"
# Faults are told by an interrupt.
sleep 1
dmesg | grep -E 'DMAR: \[|fault reason|already set' | sed 's/^/LAB complaint: /'
dmesg | grep -qE 'WARNING:|BUG:|Oops' && say "the kernel warns"
