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

}  // extern "C"
