/*
 * Writes down, as hex, every datagram that a program exchanges with the kernel over netlink.
 *
 *   cc -shared -fPIC -o netlink_tap.so netlink_tap.c -ldl
 *   NETLINK_TAP_LOG=out.log LD_PRELOAD=./netlink_tap.so ip route add ...
 *
 * A line is "> HEX" for a datagram sent, "< HEX" for one received and "# bind" once a socket listens.
 * NETLINK_TAP_CAP_ACK=1 switches NETLINK_CAP_ACK on for every netlink socket the program opens, which iproute2 never does.
 *
 * Built as a program (cc -DNETLINK_SEND -o netlink_send netlink_tap.c) it sends the hex given as its argument over a
 * netlink socket of its own and reads answers until an error, an ack or the end of a dump: for bytes no tool sends.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

#ifdef NETLINK_SEND

int main(int argc, char **argv)
{
	static unsigned char bytes[65536];
	size_t length = 0;
	int on = 1, fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	if (argc != 2 || fd < 0)
		return 2;
	for (const char *p = argv[1]; p[0] && p[1]; p += 2)
		sscanf(p, "%2hhx", &bytes[length++]);
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	if (send(fd, bytes, length, 0) < 0)
		return 1;
	for (;;) {
		ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
		struct nlmsghdr *h = (struct nlmsghdr *)bytes;

		if (n <= 0)
			return 1;
		for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n))
			if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE)
				return 0;
	}
}

#else

static int is_netlink(int fd)
{
	int domain = 0;
	socklen_t length = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_NETLINK;
}

/* One write(2) a line on a file opened for appending, so that a reader never sees half a line. */
static void log_line(char mark, const struct iovec *iov, size_t iovlen, size_t total)
{
	const char *path = getenv("NETLINK_TAP_LOG");
	char *line = malloc(2 * total + 4), *p = line;
	int fd;

	*p++ = mark;
	*p++ = ' ';
	for (size_t i = 0; i < iovlen && total; i++)
		for (size_t j = 0; j < iov[i].iov_len && total; j++, total--)
			p += sprintf(p, "%02x", ((unsigned char *)iov[i].iov_base)[j]);
	*p++ = '\n';
	fd = open(path ? path : "/dev/stderr", O_WRONLY | O_CREAT | O_APPEND, 0644);
	if (fd >= 0 && write(fd, line, p - line) < 0)
		abort();
	close(fd);
	free(line);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int socket(int domain, int type, int protocol)
{
	int on = 1, fd = REAL(socket)(domain, type, protocol);

	if (fd >= 0 && domain == AF_NETLINK && getenv("NETLINK_TAP_CAP_ACK"))
		setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	return fd;
}

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
	int result = REAL(bind)(fd, address, length);
	struct iovec word = { (void *)"", 0 };

	if (result == 0 && is_netlink(fd))
		log_line('#', &word, 1, 0);
	return result;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	ssize_t n = REAL(sendmsg)(fd, message, flags);

	if (n > 0 && is_netlink(fd))
		log_line('>', message->msg_iov, message->msg_iovlen, n);
	return n;
}

ssize_t send(int fd, const void *bytes, size_t length, int flags)
{
	ssize_t n = REAL(send)(fd, bytes, length, flags);
	struct iovec iov = { (void *)bytes, length };

	if (n > 0 && is_netlink(fd))
		log_line('>', &iov, 1, n);
	return n;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t n = REAL(recvmsg)(fd, message, flags);

	if (n > 0 && !(flags & MSG_PEEK) && is_netlink(fd))
		log_line('<', message->msg_iov, message->msg_iovlen, n);
	return n;
}

ssize_t recv(int fd, void *bytes, size_t length, int flags)
{
	ssize_t n = REAL(recv)(fd, bytes, length, flags);
	struct iovec iov = { bytes, length };

	if (n > 0 && !(flags & MSG_PEEK) && is_netlink(fd))
		log_line('<', &iov, 1, n);
	return n;
}

#endif
