// Package systemd takes sockets over from a service manager and tells it when the system is ready: the environment of
// sd_listen_fds(3) and sd_notify(3). Without such a manager it does nothing.
package systemd
