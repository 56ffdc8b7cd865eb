/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target over the files of a folder (its corpus and what once crashed it), so that every
 * test run proves again what the fuzzer found. Fails if the folder is missing or empty.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    uint8_t *data;
    size_t n;

    if (!f || fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode)) {
        if (f)
            (void)fclose(f);
        return 0;
    }
    /* Exactly as large as the input, so that AddressSanitizer sees one byte too far. */
    data = malloc((size_t)st.st_size ? (size_t)st.st_size : 1);
    n = data ? fread(data, 1, (size_t)st.st_size, f) : 0;
    (void)fclose(f);
    if (data)
        (void)LLVMFuzzerTestOneInput(data, n);
    free(data);
    return 1;
}

int main(int argc, char **argv)
{
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    struct dirent *entry;
    int ran = 0;

    if (!dir) {
        (void)fprintf(stderr, "usage: %s CORPUS_FOLDER (it must exist)\n", argv[0]);
        return 2;
    }
    while ((entry = readdir(dir))) {
        char path[4096];

        (void)snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
        ran += run_file(path);
    }
    (void)closedir(dir);
    printf("%d inputs replayed\n", ran);
    return ran ? 0 : 1;
}
