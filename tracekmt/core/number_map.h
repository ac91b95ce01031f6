/* Maps of numbers to numbers. */
#pragma once
#include "core.h"

/* A map of numbers to numbers that are not zero. */
typedef struct {
  uint64_t *keys;
  uint32_t *values;
  size_t capacity, count;
} NumberMap;

/* Chooses the places of keys, before the first map is made: as Python's hashes of texts. */
void seed_maps(void);

/* Returns 0 for a key without a number. */
uint32_t get_number(const NumberMap *map, uint64_t key);
/* Returns 0 after an error. */
int put_number(NumberMap *map, uint64_t key, uint32_t number);
void free_map(NumberMap *map);
