#!/bin/busybox sh
# The guest's first process: loads modules, brings up the network, runs /script, reports its exit status and stops.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
/bin/busybox mkdir -p /proc /sys /dev /run/lock/iscsi /tmp /mnt /var/lib
/bin/busybox --install -s /usr/local/bin
PATH=$PATH:/usr/local/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm
mount -t tmpfs shm /dev/shm
for m in $(cat /modules/order); do
	insmod /modules/$m || echo "insmod $m failed"
done
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
stty -F /dev/ttyS1 raw
sh -eu /script >/dev/ttyS1 2>&1
printf '\nguest exit %d\n' $? >/dev/ttyS1
sync
poweroff -f
