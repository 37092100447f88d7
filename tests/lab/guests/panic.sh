say "panics"
echo c > /proc/sysrq-trigger
