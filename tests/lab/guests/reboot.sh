say "reboots"
reboot -f
