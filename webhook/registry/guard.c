#include "registry/guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

#define NET(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

struct range4 {
  uint32_t net;
  int bits;
  enum mg_guard from; /* refused by this guard and those above */
};

static bool refused4(uint32_t a, enum mg_guard guard) {
  static const struct range4 ranges[] = {
      {NET(0, 0, 0, 0), 8, MG_GUARD_LOCAL},      {NET(127, 0, 0, 0), 8, MG_GUARD_LOCAL},
      {NET(169, 254, 0, 0), 16, MG_GUARD_LOCAL}, {NET(224, 0, 0, 0), 3, MG_GUARD_LOCAL},
      {NET(10, 0, 0, 0), 8, MG_GUARD_PRIVATE},   {NET(100, 64, 0, 0), 10, MG_GUARD_PRIVATE},
      {NET(172, 16, 0, 0), 12, MG_GUARD_PRIVATE}, {NET(192, 168, 0, 0), 16, MG_GUARD_PRIVATE},
      {NET(192, 0, 0, 0), 24, MG_GUARD_PRIVATE}, {NET(198, 18, 0, 0), 15, MG_GUARD_PRIVATE},
  };
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
    if (a >> (32 - ranges[i].bits) == ranges[i].net >> (32 - ranges[i].bits)) return guard >= ranges[i].from;
  return false;
}

static uint32_t word_at(const uint8_t *p) {
  return NET(p[0], p[1], p[2], p[3]);
}

/* Addresses of version 4 in those of version 6 too: mapped, compatible, NAT64, 6to4. */
static bool refused6(const uint8_t *p, enum mg_guard guard) {
  static const uint8_t zeros[12], nat64[12] = {0x00, 0x64, 0xFF, 0x9B}, mapped[12] = {[10] = 0xFF, [11] = 0xFF};
  if (memcmp(p, zeros, 12) == 0 && word_at(p + 12) <= 1) return true; /* unspecified, loopback */
  if (memcmp(p, zeros, 12) == 0 || memcmp(p, nat64, 12) == 0 || memcmp(p, mapped, 12) == 0)
    return refused4(word_at(p + 12), guard);
  if (p[0] == 0x20 && p[1] == 0x02) return refused4(word_at(p + 2), guard);
  if (p[0] == 0xFF || (p[0] == 0xFE && (p[1] & 0xC0) == 0x80)) return true;
  return (p[0] & 0xFE) == 0xFC && guard >= MG_GUARD_PRIVATE;
}

bool mg_guard_refuses(enum mg_guard guard, const struct sockaddr *address) {
  if (guard == MG_GUARD_NONE) return false;
  if (address->sa_family == AF_INET) {
    struct sockaddr_in in;
    memcpy(&in, address, sizeof in);
    return refused4(ntohl(in.sin_addr.s_addr), guard);
  }
  if (address->sa_family != AF_INET6) return true;
  struct sockaddr_in6 in;
  memcpy(&in, address, sizeof in);
  return refused6(in.sin6_addr.s6_addr, guard);
}
