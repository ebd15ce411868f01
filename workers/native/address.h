/* Socket addresses and end points as on the link: the one is the kernel's, the other everybody else's. */
#ifndef TANDEM_ADDRESS_H
#define TANDEM_ADDRESS_H
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include "fastpath.h"

union name { struct sockaddr_in v4; struct sockaddr_in6 v6; struct sockaddr any; };

static inline void read_name(fp_endpoint *to, const union name *name) {
    if (name->any.sa_family == AF_INET) {
        memset(to->address, 0, 10);
        memset(to->address + 10, 0xff, 2);
        memcpy(to->address + 12, &name->v4.sin_addr, 4);
        memcpy(to->port, &name->v4.sin_port, 2);
    } else {
        memcpy(to->address, &name->v6.sin6_addr, 16);
        memcpy(to->port, &name->v6.sin6_port, 2);
    }
}

static inline socklen_t write_name(union name *name, const fp_endpoint *from, int family) {
    memset(name, 0, sizeof *name);
    if (family == AF_INET) {
        name->v4.sin_family = AF_INET;
        memcpy(&name->v4.sin_port, from->port, 2);
        memcpy(&name->v4.sin_addr, from->address + 12, 4);
        return sizeof name->v4;
    }
    name->v6.sin6_family = AF_INET6;
    memcpy(&name->v6.sin6_port, from->port, 2);
    memcpy(&name->v6.sin6_addr, from->address, 16);
    return sizeof name->v6;
}

/* What a socket is bound to, and its family; -1 if it is no socket of ours. */
static inline int bound_to(int fd, fp_endpoint *to) {
    union name name;
    socklen_t length = sizeof name;
    if (getsockname(fd, &name.any, &length) || (name.any.sa_family != AF_INET && name.any.sa_family != AF_INET6)) return -1;
    read_name(to, &name);
    return name.any.sa_family;
}
#endif
