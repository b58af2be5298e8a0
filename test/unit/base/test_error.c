/*
 * A failure tells its story once, floors above put in front what they know, and each thread has its
 * own.
 */
#include "base/error.h"
#include "harness/test.h"

#include <pthread.h>

TEST(a_failure_tells_its_story_and_returns_its_code)
{
    CHECK_RC(vv_fail(VV_IO, "cannot read %s", "x.log"), VV_IO);
    CHECK_EQ_STR(vv_error_story(), "cannot read x.log");
}

TEST(floors_above_say_where_it_happened)
{
    CHECK_RC(vv_fail(VV_CORRUPT, "block at %d fails its checksum", 40), VV_CORRUPT);
    CHECK_RC(vv_fail_in(VV_CORRUPT, "table %d", 17), VV_CORRUPT);
    CHECK_RC(vv_fail_in(VV_CORRUPT, "level %d", 3), VV_CORRUPT);
    CHECK_EQ_STR(vv_error_story(), "level 3: table 17: block at 40 fails its checksum");
}

TEST(a_story_too_long_keeps_its_beginning)
{
    static char text[2000];
    memset(text, 'x', sizeof text - 1);
    CHECK_RC(vv_fail(VV_IO, "%s", text), VV_IO);
    CHECK_EQ_INT(strlen(vv_error_story()), 511);
    CHECK_RC(vv_fail_in(VV_IO, "where"), VV_IO);
    CHECK_EQ_INT(strlen(vv_error_story()), 511);
    CHECK(strncmp(vv_error_story(), "where: xxx", 10) == 0);
    CHECK_RC(vv_fail_in(VV_IO, "%s", text), VV_IO);
    CHECK_EQ_INT(strlen(vv_error_story()), 511);
    CHECK(strstr(vv_error_story(), ": where: xxx") != NULL);
}

TEST(a_story_can_be_told_again)
{
    CHECK_RC(vv_fail(VV_IO, "100%% of %s", "it"), VV_IO);
    CHECK_RC(vv_fail_again(VV_IO, vv_error_story()), VV_IO);
    CHECK_EQ_STR(vv_error_story(), "100% of it");
    CHECK_RC(vv_fail(VV_IO, "%s; and more", vv_error_story()), VV_IO);
    CHECK_EQ_STR(vv_error_story(), "100% of it; and more");
}

static void *fail_elsewhere(void *arg)
{
    *(bool *)arg = strcmp(vv_error_story(), "") == 0 && vv_fail(VV_IO, "elsewhere") == VV_IO;
    return NULL;
}

TEST(each_thread_has_its_own_story)
{
    pthread_t thread;
    bool fine = false;
    CHECK_RC(vv_fail(VV_IO, "here"), VV_IO);
    CHECK_EQ_INT(pthread_create(&thread, NULL, fail_elsewhere, &fine), 0);
    CHECK_EQ_INT(pthread_join(thread, NULL), 0);
    CHECK(fine);
    CHECK_EQ_STR(vv_error_story(), "here");
}

TEST(every_code_has_words_and_keeps_its_number)
{
    for (int code = VV_FOREIGN; code <= VV_CONFLICT; code++)
        CHECK(strcmp(vv_error_words(code), "unknown error code") != 0);
    CHECK_EQ_STR(vv_error_words(-999), "unknown error code");
    CHECK_EQ_STR(vv_error_words(999), "unknown error code");
    CHECK_EQ_INT(VV_CORRUPT, -1);
    CHECK_EQ_INT(VV_FULL, -7);
    CHECK_EQ_INT(VV_FOREIGN, -17);
    CHECK_EQ_INT(VV_NOTFOUND, 1);
    CHECK_EQ_INT(VV_END, 2);
}
