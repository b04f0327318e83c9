#include "certs/names.h"

#include <ctype.h>
#include <stdio.h>

#include "certs/pem.h"

static int no_memory(struct mg_err *err) {
  return mg_err_set(err, MG_E_NOMEM, "the names of a certificate: %s", mg_pem_ssl_reason());
}

/* Letters, digits, hyphens and underscores in labels of 1 to 63, at most 253 in all; "*." may stand first. */
static bool dns_name_good(const char *name) {
  size_t n = strnlen(name, 254), label = 0;
  if (n == 0 || n > 253) {
    return false;
  }
  for (const char *p = name[0] == '*' && name[1] == '.' ? name + 2 : name; *p; p++) {
    if (*p == '.') {
      if (label == 0 || p[-1] == '-') {
        return false;
      }
      label = 0;
      continue;
    }
    if (!(isalnum((unsigned char)*p) || *p == '_' || (*p == '-' && label > 0)) || (unsigned char)*p > 126 || ++label > 63) {
      return false;
    }
  }
  return label > 0 && name[n - 1] != '-';
}

static ASN1_STRING *dns_value(const char *name) {
  ASN1_IA5STRING *value = dns_name_good(name) ? ASN1_IA5STRING_new() : NULL;
  if (value && ASN1_STRING_set(value, name, -1)) {
    return value;
  }
  ASN1_IA5STRING_free(value);
  return NULL;
}

static ASN1_STRING *ip_value(const char *address) {
  return a2i_IPADDRESS(address);
}

struct name_kind {
  int type; /* GEN_… */
  const char *what;
  ASN1_STRING *(*value)(const char *text);
};
static const struct name_kind kind_dns = {GEN_DNS, "a DNS name", dns_value};
static const struct name_kind kind_ip = {GEN_IPADD, "an IP address", ip_value};

static int add_names(GENERAL_NAMES *names, const struct name_kind *kind, const char *const *texts, size_t n,
                     struct mg_err *err) {
  for (size_t i = 0; i < n; i++) {
    ASN1_STRING *value = kind->value(texts[i]);
    if (!value) {
      (void)mg_pem_ssl_reason();
      return mg_err_set(err, MG_E_USAGE, "\"%.100s\" is not %s", texts[i], kind->what);
    }
    GENERAL_NAME *name = GENERAL_NAME_new();
    if (!name) {
      ASN1_STRING_free(value);
      return no_memory(err);
    }
    GENERAL_NAME_set0_value(name, kind->type, value);
    if (!sk_GENERAL_NAME_push(names, name)) {
      GENERAL_NAME_free(name);
      return no_memory(err);
    }
  }
  return 0;
}

int mg_names_of_request(const struct mg_certs_request *request, GENERAL_NAMES **ret, struct mg_err *err) {
  *ret = NULL;
  if (request->n_dns > MG_CERTS_NAMES_MAX || request->n_ips > MG_CERTS_NAMES_MAX) {
    return mg_err_set(err, MG_E_LIMIT, "more than %d names", MG_CERTS_NAMES_MAX);
  }
  if (request->n_dns + request->n_ips == 0) {
    return 0;
  }
  MG_NAMES_AUTO names = sk_GENERAL_NAME_new_null();
  if (!names) {
    return no_memory(err);
  }
  int code = add_names(names, &kind_dns, request->dns, request->n_dns, err);
  if (code == 0) {
    code = add_names(names, &kind_ip, request->ips, request->n_ips, err);
  }
  if (code == 0) {
    *ret = names;
    names = NULL;
  }
  return code;
}

static bool among(GENERAL_NAMES *names, GENERAL_NAME *name) {
  for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
    if (GENERAL_NAME_cmp(sk_GENERAL_NAME_value(names, i), name) == 0) {
      return true;
    }
  }
  return false;
}

bool mg_names_covered(const X509 *cert, GENERAL_NAMES *names) {
  MG_NAMES_AUTO has = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
  bool all = has != NULL;
  for (int i = 0; all && i < sk_GENERAL_NAME_num(names); i++) {
    all = among(has, sk_GENERAL_NAME_value(names, i));
  }
  return all;
}

/* A DNS label, as names of Services and Namespaces are. */
static bool label_good(const char *s) {
  size_t n = strnlen(s, 64);
  if (n == 0 || n > 63 || s[0] == '-' || s[n - 1] == '-') {
    return false;
  }
  return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

int mg_certs_service_names(const char *service, const char *ns, struct mg_certs_names *ret_names, struct mg_err *err) {
  static const char *const tails[MG_CERTS_SERVICE_NAMES] = {"", "", ".svc", ".svc.cluster.local"};
  if (!label_good(service) || !label_good(ns)) {
    return mg_err_set(err, MG_E_USAGE, "\"%.100s\" is not the name of a %s", label_good(service) ? ns : service,
                      label_good(service) ? "namespace" : "service");
  }
  for (size_t i = 0; i < MG_CERTS_SERVICE_NAMES; i++) {
    (void)snprintf(ret_names->text[i], sizeof ret_names->text[i], "%.63s%s%.63s%s", service, i ? "." : "", i ? ns : "", tails[i]);
  }
  return 0;
}
