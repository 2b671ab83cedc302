// What the C library does with freed memory; src/run/heap.rs declares it.

#include <cstdlib>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

extern "C" {

// Gives the pages that hold nothing in use back to the operating system, of the heaps of all threads.
void ec2train_heap_trim() noexcept {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

// Keeps up to a gigabyte of freed memory, and takes new memory in pieces of 64 MiB.
void ec2train_heap_keep() noexcept {
#if defined(__GLIBC__)
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most that it takes
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

}  // extern "C"
