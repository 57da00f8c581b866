/*
 * Runs a program to its end and tells what it cost. Only a parent knows that of a process that has ended.
 *
 *   measured PROGRAM ARGUMENTS...
 *
 * Prints `nanoseconds user system kibibytes`: from before it was started until it had ended, its time on the processor in
 * microseconds, and the most memory that it had. What it prints itself goes to standard error. Ends with its exit status.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ll + time.tv_nsec;
}

static long long microseconds(struct timeval time)
{
	return time.tv_sec * 1000000ll + time.tv_usec;
}

int main(int argc, char **argv)
{
	struct rusage usage;
	int status;

	if (argc < 2) {
		fprintf(stderr, "usage: measured PROGRAM ARGUMENTS...\n");
		return 2;
	}
	long long start = now();
	pid_t child = fork();
	if (child == 0) {
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execvp(argv[1], argv + 1);
		perror(argv[1]);
		_exit(127);
	}
	if (child < 0 || wait4(child, &status, 0, &usage) != child) {
		perror("measured");
		return 1;
	}
	printf("%lld %lld %lld %ld\n", now() - start, microseconds(usage.ru_utime), microseconds(usage.ru_stime),
	       usage.ru_maxrss);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
