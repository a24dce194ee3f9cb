/* The header that bindgen reads. */
#include "shim.h"
