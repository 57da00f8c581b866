/*
 * The plain way to program a routing table: what the benchmarks compare dplaned with. 256 messages a send, an ack asked
 * of the last one only, nexthops inside the routes, in the order of the file.
 *
 *   netlink_loop add|add-objects|delete FILE IFINDEX
 *
 * `add-objects` is less plain: it makes a nexthop object in the kernel for each nexthop first, and routes name that.
 *
 * FILE holds what tests/bench/feeds.ts writes as `records`. Prints `routes failed seconds`, the time being that from
 * before the first send to the last ack. Programs the network namespace that it runs in.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 256, MESSAGE_MAX = 128, METRIC = 20, PROTOCOL = 210, FIRST_OBJECT = 1000 };

struct record {
	uint8_t family;
	uint8_t length;
	uint8_t zeros[2];
	uint8_t prefix[16];
	uint8_t nexthop[16];
};

static void die(const char *what)
{
	fprintf(stderr, "netlink_loop: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct record *read_records(const char *path, size_t *count)
{
	FILE *file = fopen(path, "rb");
	if (!file || fseek(file, 0, SEEK_END))
		die(path);
	long bytes = ftell(file);
	struct record *records = malloc(bytes > 0 ? (size_t)bytes : 1);
	rewind(file);
	if (!records || fread(records, 1, (size_t)bytes, file) != (size_t)bytes)
		die(path);
	fclose(file);
	*count = (size_t)bytes / sizeof(struct record);
	return records;
}

static void put_attribute(struct nlmsghdr *message, uint16_t type, const void *data, size_t length)
{
	struct rtattr *attribute = (struct rtattr *)((char *)message + NLMSG_ALIGN(message->nlmsg_len));
	attribute->rta_type = type;
	attribute->rta_len = RTA_LENGTH(length);
	memcpy(RTA_DATA(attribute), data, length);
	message->nlmsg_len = NLMSG_ALIGN(message->nlmsg_len) + RTA_ALIGN(attribute->rta_len);
}

/* The nexthop object by family and the last two bytes of the nexthop, in which the table's nexthops differ. */
static uint32_t objects[2][1 << 16], object_count;

static uint32_t *object_of(const struct record *record)
{
	const uint8_t *tail = record->nexthop + (record->family == 4 ? 2 : 14);
	return &objects[record->family != 4][tail[0] << 8 | tail[1]];
}

static size_t put_object(char *buffer, const struct record *record, uint32_t id, uint32_t ifindex, uint32_t sequence)
{
	struct nlmsghdr *message = (struct nlmsghdr *)buffer;
	struct nhmsg *nexthop = NLMSG_DATA(message);

	memset(buffer, 0, NLMSG_LENGTH(sizeof *nexthop));
	message->nlmsg_len = NLMSG_LENGTH(sizeof *nexthop);
	message->nlmsg_type = RTM_NEWNEXTHOP;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK;
	message->nlmsg_seq = sequence;
	nexthop->nh_family = record->family == 4 ? AF_INET : AF_INET6;
	nexthop->nh_protocol = PROTOCOL;
	put_attribute(message, NHA_ID, &id, sizeof id);
	put_attribute(message, NHA_OIF, &ifindex, sizeof ifindex);
	put_attribute(message, NHA_GATEWAY, record->nexthop, record->family == 4 ? 4 : 16);
	return message->nlmsg_len;
}

static size_t put_route(char *buffer, const struct record *record, int deletes, uint32_t ifindex, uint32_t sequence)
{
	uint32_t object = *object_of(record);
	struct nlmsghdr *message = (struct nlmsghdr *)buffer;
	struct rtmsg *route = NLMSG_DATA(message);
	size_t address_bytes = record->family == 4 ? 4 : 16;
	uint32_t metric = METRIC;

	memset(buffer, 0, NLMSG_LENGTH(sizeof *route));
	message->nlmsg_len = NLMSG_LENGTH(sizeof *route);
	message->nlmsg_type = deletes ? RTM_DELROUTE : RTM_NEWROUTE;
	message->nlmsg_flags = NLM_F_REQUEST | (deletes ? 0 : NLM_F_CREATE | NLM_F_REPLACE);
	message->nlmsg_seq = sequence;
	route->rtm_family = record->family == 4 ? AF_INET : AF_INET6;
	route->rtm_dst_len = record->length;
	route->rtm_table = RT_TABLE_MAIN;
	route->rtm_protocol = PROTOCOL;
	route->rtm_scope = deletes ? RT_SCOPE_NOWHERE : RT_SCOPE_UNIVERSE;
	route->rtm_type = deletes ? RTN_UNSPEC : RTN_UNICAST;
	put_attribute(message, RTA_DST, record->prefix, address_bytes);
	put_attribute(message, RTA_PRIORITY, &metric, sizeof metric);
	if (!deletes && object) {
		put_attribute(message, RTA_NH_ID, &object, sizeof object);
	} else if (!deletes) {
		put_attribute(message, RTA_GATEWAY, record->nexthop, address_bytes);
		put_attribute(message, RTA_OIF, &ifindex, sizeof ifindex);
	}
	return message->nlmsg_len;
}

/* Reads answers until the ack of `last`; returns how many errors came. */
static size_t await_ack(int fd, uint32_t last)
{
	static char buffer[1 << 16];
	size_t failed = 0;

	for (;;) {
		ssize_t received = recv(fd, buffer, sizeof buffer, 0);
		if (received < 0)
			die("recv");
		int left = (int)received;
		for (struct nlmsghdr *m = (struct nlmsghdr *)buffer; NLMSG_OK(m, left); m = NLMSG_NEXT(m, left)) {
			if (m->nlmsg_type != NLMSG_ERROR)
				continue;
			struct nlmsgerr *error = NLMSG_DATA(m);
			failed += error->error != 0;
			if (m->nlmsg_seq == last)
				return failed;
		}
	}
}

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	static char buffer[BATCH * MESSAGE_MAX];
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	int buffer_bytes = 1 << 20, on = 1;
	size_t count, failed = 0;

	if (argc != 4 || (strcmp(argv[1], "add") && strcmp(argv[1], "add-objects") && strcmp(argv[1], "delete"))) {
		fprintf(stderr, "usage: netlink_loop add|add-objects|delete FILE IFINDEX\n");
		return 2;
	}
	int deletes = !strcmp(argv[1], "delete"), makes_objects = !strcmp(argv[1], "add-objects");
	uint32_t ifindex = (uint32_t)strtoul(argv[3], NULL, 10);
	struct record *records = read_records(argv[2], &count);

	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0 || connect(fd, (struct sockaddr *)&kernel, sizeof kernel))
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer_bytes, sizeof buffer_bytes);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof buffer_bytes);
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);

	double start = now();
	for (size_t n = 0; makes_objects && n < count; n++) {
		uint32_t *object = object_of(&records[n]);
		if (*object)
			continue;
		*object = FIRST_OBJECT + object_count++;
		size_t bytes = put_object(buffer, &records[n], *object, ifindex, (uint32_t)n + 1);
		if (send(fd, buffer, bytes, 0) != (ssize_t)bytes || await_ack(fd, (uint32_t)n + 1))
			die("a nexthop object");
	}
	for (size_t done = 0; done < count;) {
		size_t bytes = 0, end = count - done > BATCH ? done + BATCH : count;
		struct nlmsghdr *last = NULL;
		for (; done < end; done++) {
			last = (struct nlmsghdr *)(buffer + bytes);
			bytes += put_route(buffer + bytes, &records[done], deletes, ifindex, (uint32_t)done + 1);
		}
		last->nlmsg_flags |= NLM_F_ACK;
		if (send(fd, buffer, bytes, 0) != (ssize_t)bytes)
			die("send");
		failed += await_ack(fd, (uint32_t)done);
	}
	printf("%zu %zu %.6f\n", count, failed, now() - start);
	return failed != 0;
}
