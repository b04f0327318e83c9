/* Paths of mounts as the kubelet takes them. */
#pragma once
#include "base/str.h"

/* Puts a path behind the n bytes of a clean one and returns how many there are then: "//dev/./nvidia0/" -> "/dev/nvidia0". A
 * relative path goes on from there, and ".." ends at the root, which is "". `out` has room for one byte more than all of it. */
size_t mg_mount_path_add(char *out, size_t n, mg_str path);
