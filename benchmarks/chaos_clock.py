"""A wall clock that can be stepped, for one process and its descendants: a library that is preloaded."""

import shutil
import subprocess
from pathlib import Path

CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static const long *offset;
__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("CHAOS_CLOCK");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  void *seen = file < 0 ? MAP_FAILED : mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
  offset = seen == MAP_FAILED ? 0 : seen;
  if (file >= 0) close(file);
}
int clock_gettime(clockid_t id, struct timespec *at) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int answer = real(id, at);
  if (!answer && offset && id == CLOCK_REALTIME) at->tv_sec += *offset;
  return answer;
}
time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}
int gettimeofday(struct timeval *at, void *zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}
"""
"""Steps the wall clock of the processes that are started with it, by the seconds in a file; nothing else."""


def build_clock(folder: Path) -> bool:
    """Compile the stepping clock into the folder; False where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return False
    source = folder / "clock.c"
    source.write_text(CLOCK)
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(folder / "clock.so"), str(source), "-ldl"]
    return subprocess.run(command, check=False).returncode == 0
