// Of Gloo's headers, which libtorch does not ship, only what c10d's header for it names. c10d is compiled
// against the real ones: nothing here may be created, called or measured by this program.
#pragma once
