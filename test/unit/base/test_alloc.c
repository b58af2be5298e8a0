/*
 * Memory that runs out is an error with a story, whoever asked; the account adds up.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "harness/test.h"

TEST(the_nth_allocation_fails_once_and_says_so)
{
    vv_alloc_fail_at(3);
    void *first = vv_alloc(10);
    void *second = vv_alloc_zero(10);
    CHECK(first != NULL && second != NULL);
    CHECK(vv_realloc(first, 20) == NULL);
    CHECK_EQ_STR(vv_error_story(), "cannot allocate 20 bytes");
    first = vv_realloc(first, 20);
    CHECK(first != NULL);
    vv_free(first);
    vv_free(second);
}

TEST(every_way_to_allocate_can_be_made_to_fail)
{
    vv_alloc_fail_at(1);
    CHECK(vv_alloc(1) == NULL);
    vv_alloc_fail_at(1);
    CHECK(vv_alloc_zero(1) == NULL);
    vv_alloc_fail_at(1);
    CHECK(vv_realloc(NULL, 1) == NULL);
    vv_alloc_fail_at(1);
    CHECK(vv_memdup("a", 1) == NULL);
    vv_alloc_fail_at(1);
    CHECK(vv_strdup("a") == NULL);
    vv_alloc_fail_at(1);
    CHECK(vv_pages_alloc(4096) == NULL);
    vv_alloc_fail_at(1);
    vv_alloc_fail_at(0);
    void *memory = vv_alloc(1);
    CHECK(memory != NULL);
    vv_free(memory);
}

TEST(nothing_has_an_address_too)
{
    void *a = vv_alloc(0);
    void *b = vv_alloc_zero(0);
    void *c = vv_memdup(NULL, 0);
    CHECK(a != NULL && b != NULL && c != NULL);
    vv_free(a);
    vv_free(b);
    vv_free(c);
    vv_free(NULL);
}

TEST(copies_are_copies)
{
    char *text = vv_strdup("varve");
    CHECK_EQ_STR(text, "varve");
    char *bytes = vv_memdup("a\0b", 3);
    CHECK(bytes != NULL);
    CHECK_BYTES(bytes, 3, "a\0b", 3);
    vv_free(text);
    vv_free(bytes);
}

TEST(pages_come_zeroed)
{
    uint8_t *pages = vv_pages_alloc(20000);
    CHECK(pages != NULL);
    for (size_t i = 0; i < 20000; i++)
        CHECK_EQ_INT(pages[i], 0);
    pages[19999] = 1;
    vv_pages_free(pages, 20000);
    vv_pages_free(NULL, 0);
}

TEST(the_account_adds_up_by_owner)
{
    struct vv_account account = {0};
    vv_account_charge(&account, VV_OWNER_CACHE, 100);
    vv_account_charge(&account, VV_OWNER_PIN, 10);
    vv_account_charge(&account, VV_OWNER_CACHE, 1);
    CHECK_EQ_INT(vv_account_used(&account, VV_OWNER_CACHE), 101);
    CHECK_EQ_INT(vv_account_used(&account, VV_OWNER_MAP), 0);
    CHECK_EQ_INT(vv_account_total(&account), 111);
    vv_account_release(&account, VV_OWNER_CACHE, 101);
    vv_account_release(&account, VV_OWNER_PIN, 10);
    CHECK_EQ_INT(vv_account_total(&account), 0);
    for (int owner = 0; owner < VV_OWNER_COUNT; owner++)
        CHECK(strlen(vv_owner_name((enum vv_owner)owner)) > 0);
}
