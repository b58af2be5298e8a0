/*
 * What the promise says about results and versions. The house and the promise share the numbers.
 */
#include "base/error.h"

#include <varve/varve.h>

#define VV_SAME(name)                                                                              \
    _Static_assert((int)VV_##name == (int)VARVE_##name, "codes of the house are those of varve.h")
VV_SAME(OK);
VV_SAME(NOTFOUND);
VV_SAME(END);
VV_SAME(CONFLICT);
#define VV_SAME_FAILURE(name, number, words) VV_SAME(name);
VV_ERROR_MAP(VV_SAME_FAILURE)

#define TEXT_OF(x)    #x
#define VERSION_OF(x) TEXT_OF(x)

const char *varve_version(void)
{
    return VERSION_OF(VARVE_VERSION_MAJOR) "." VERSION_OF(VARVE_VERSION_MINOR) "." VERSION_OF(
        VARVE_VERSION_PATCH);
}

const char *varve_strerror(int rc)
{
    return vv_error_words(rc);
}

const char *varve_last_error(void)
{
    return vv_error_story();
}
