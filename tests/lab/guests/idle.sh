# Does nothing for a while, in which the host looks what that costs.
say idles
sleep 60
