// Package guest boots a Debian kernel under QEMU, with an initramfs of our own, and runs a script in it. So the NBD and
// iSCSI clients of the kernel, with the tools that administrators use, attach volumes that this machine serves; the
// machine itself needs neither the modules nor hardware virtualisation.
//
// The kernel and its modules come from the Debian package that linux-image-cloud-amd64 depends on, unpacked without
// being installed. The initramfs holds busybox, the modules, and the programs with their libraries as they are
// installed here. Both are kept in a cache folder whose name says which package versions they were made of.
//
// Inside, the machine that runs QEMU has the address 10.0.2.2. The script's output comes back over the second serial
// port, since kernel messages would break into it on the first.
package guest
