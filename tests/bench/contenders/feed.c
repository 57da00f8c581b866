/*
 * Streams bytes that were made before to a program that programs routes, as fast as it takes them, and waits until it has
 * said that all is done. So what is timed is that program and not the making of its input.
 *
 *   feed http SOCKET PATH       each file is the body of a POST to PATH; done when the answer has come to its end
 *   feed zapi SOCKET            done when zebra has told as many routes as installed or removed as there are in the file
 *   feed send SOCKET|IP:PORT    done when all is written; for those who do not say when they are done
 *
 * Commands are lines on standard input, `FILE ROUTES`; of zapi and send the connection lasts from the first to the end of the
 * input, and a file of 0 routes only says hello. For each line prints `nanoseconds user system answered good`: the time from
 * the first byte, this process's own time on the processor in microseconds, the bytes or messages of the answer, and how many of
 * the routes were said to be well.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 1 << 18, HEADER = 10, ROUTE_NOTIFY_OWNER = 10, NOTE_INSTALLED = 2, NOTE_REMOVED = 3 };

static void die(const char *what)
{
	fprintf(stderr, "feed: %s: %s\n", what, errno ? strerror(errno) : "unexpected");
	exit(1);
}

static uint64_t now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t microseconds(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_usec;
}

static int open_socket(const char *address)
{
	const char *colon = strrchr(address, ':');
	int fd, on = 1;

	if (address[0] == '/') {
		struct sockaddr_un path = { .sun_family = AF_UNIX };
		if (strlen(address) >= sizeof path.sun_path)
			die(address);
		strcpy(path.sun_path, address);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0 || connect(fd, (struct sockaddr *)&path, sizeof path))
			die(address);
	} else {
		struct sockaddr_in host = { .sin_family = AF_INET };
		char text[64] = "";
		if (!colon || (size_t)(colon - address) >= sizeof text)
			die(address);
		memcpy(text, address, (size_t)(colon - address));
		host.sin_port = htons((uint16_t)atoi(colon + 1));
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (inet_pton(AF_INET, text, &host.sin_addr) != 1 || fd < 0 ||
		    connect(fd, (struct sockaddr *)&host, sizeof host))
			die(address);
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

/* What has been answered to one file. */
struct answer {
	uint64_t amount, good;
	int is_over;
	char rest[1 << 16];
	size_t held;
};

/* The end of a chunked body, and in the last line of it the summary; what the routes came to is the caller's to read. */
static void take_http(struct answer *answer, const char *bytes, size_t length)
{
	static const char end[] = "\r\n0\r\n\r\n";
	size_t kept = sizeof answer->rest / 4;

	if (answer->amount == 0 && (length < 12 || memcmp(bytes, "HTTP/1.1 200", 12))) {
		fprintf(stderr, "feed: the answer is not 200: %.*s\n", (int)length, bytes);
		exit(1);
	}
	answer->amount += length;
	if (length > kept) {
		bytes += length - kept;
		length = kept;
	}
	if (answer->held + length > kept) {
		size_t drop = answer->held + length - kept;
		memmove(answer->rest, answer->rest + drop, answer->held - drop);
		answer->held -= drop;
	}
	memcpy(answer->rest + answer->held, bytes, length);
	answer->held += length;
	if (answer->held >= sizeof end - 1 && !memcmp(answer->rest + answer->held - (sizeof end - 1), end, sizeof end - 1)) {
		answer->rest[answer->held] = 0;
		char *count = strstr(answer->rest, "\"fibProgrammed\":");
		answer->good = count ? strtoull(count + 16, NULL, 10) : 0;
		answer->is_over = 1;
	}
}

/* Counts messages of zebra: `length marker version vrf command`, and of a notification the note, in host order. */
static void take_zapi(struct answer *answer, const char *bytes, size_t length, uint64_t routes)
{
	while (length > 0) {
		size_t room = sizeof answer->rest - answer->held, at = 0;
		size_t taken = length < room ? length : room;
		memcpy(answer->rest + answer->held, bytes, taken);
		answer->held += taken;
		bytes += taken;
		length -= taken;
		for (;;) {
			uint8_t *message = (uint8_t *)answer->rest + at;
			if (answer->held - at < HEADER)
				break;
			size_t size = (size_t)message[0] << 8 | message[1];
			if (size < HEADER)
				die("a message of zebra is too short");
			if (answer->held - at < size)
				break;
			if ((message[8] << 8 | message[9]) == ROUTE_NOTIFY_OWNER && size >= HEADER + 4) {
				uint32_t note;
				memcpy(&note, message + HEADER, sizeof note);
				answer->amount++;
				answer->good += note == NOTE_INSTALLED || note == NOTE_REMOVED;
			}
			at += size;
		}
		memmove(answer->rest, answer->rest + at, answer->held - at);
		answer->held -= at;
	}
	answer->is_over = answer->amount >= routes;
}

static void exchange(int fd, char mode, const char *head, const char *body, size_t length, uint64_t routes)
{
	static char incoming[PIECE];
	struct answer *answer = calloc(1, sizeof *answer);
	struct rusage before, after;
	size_t head_left = strlen(head), sent = 0;
	uint64_t start;

	if (!answer)
		die("memory");
	getrusage(RUSAGE_SELF, &before);
	start = now();
	answer->is_over = mode == 's' || routes == 0;
	while (head_left > 0 || sent < length || !answer->is_over) {
		int writes = head_left > 0 || sent < length;
		struct pollfd wait = { .fd = fd, .events = (short)(POLLIN | (writes ? POLLOUT : 0)) };
		if (poll(&wait, 1, -1) < 0 && errno != EINTR)
			die("poll");
		if (wait.revents & POLLOUT) {
			const char *from = head_left > 0 ? head + strlen(head) - head_left : body + sent;
			size_t size = head_left > 0 ? head_left : length - sent;
			ssize_t done = send(fd, from, size < PIECE ? size : PIECE, MSG_NOSIGNAL);
			if (done < 0 && errno != EAGAIN)
				die("send");
			if (done > 0 && head_left > 0)
				head_left -= (size_t)done;
			else if (done > 0)
				sent += (size_t)done;
		}
		if (wait.revents & (POLLIN | POLLHUP | POLLERR)) {
			ssize_t got = recv(fd, incoming, sizeof incoming, 0);
			if (got == 0 || (got < 0 && errno != EAGAIN))
				die("the other side has ended the connection");
			if (got > 0 && mode == 'h')
				take_http(answer, incoming, (size_t)got);
			else if (got > 0 && mode == 'z')
				take_zapi(answer, incoming, (size_t)got, routes);
		}
	}
	uint64_t end = now();
	getrusage(RUSAGE_SELF, &after);
	printf("%llu %llu %llu %llu %llu\n", (unsigned long long)(end - start),
	       (unsigned long long)(microseconds(after.ru_utime) - microseconds(before.ru_utime)),
	       (unsigned long long)(microseconds(after.ru_stime) - microseconds(before.ru_stime)),
	       (unsigned long long)answer->amount, (unsigned long long)answer->good);
	fflush(stdout);
	free(answer);
}

int main(int argc, char **argv)
{
	char line[4096], file[4096], head[4096] = "";
	unsigned long long routes;

	if (argc < 3 || !strchr("hzs", argv[1][0])) {
		fprintf(stderr, "usage: feed http SOCKET PATH | zapi SOCKET | send SOCKET|IP:PORT\n");
		return 2;
	}
	char mode = argv[1][0];
	int fd = open_socket(argv[2]);
	while (fgets(line, sizeof line, stdin)) {
		struct stat info;
		if (sscanf(line, "%4095s %llu", file, &routes) != 2)
			die("a command is FILE ROUTES");
		int input = open(file, O_RDONLY | O_CLOEXEC);
		if (input < 0 || fstat(input, &info))
			die(file);
		size_t length = (size_t)info.st_size;
		char *body = mmap(NULL, length, PROT_READ, MAP_PRIVATE | MAP_POPULATE, input, 0);
		if (body == MAP_FAILED)
			die(file);
		close(input);
		if (mode == 'h')
			snprintf(head, sizeof head,
				 "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
				 "Content-Length: %zu\r\n\r\n",
				 argc > 3 ? argv[3] : "/v1/routes", length);
		exchange(fd, mode, head, body, length, routes);
		munmap(body, length);
	}
	return 0;
}
