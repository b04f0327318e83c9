/* Names as the API server validates them. */
#pragma once
#include "base/str.h"

bool mg_name_is_label_key(mg_str s);
bool mg_name_is_label_value(mg_str s); /* may be empty */
bool mg_name_is_dns_label(mg_str s);
bool mg_name_is_dns_subdomain(mg_str s);
