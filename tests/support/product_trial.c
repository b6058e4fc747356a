/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/product_trial.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static void fill_weights(uint8_t *bytes, size_t n_bytes, enum tensor_type type, bool raw)
{
	for (size_t i = 0; i < n_bytes; i++)
		bytes[i] = (uint8_t)random_u32();
	for (size_t i = 0; i < n_bytes && !raw; i += tensor_type_info(type)->block_bytes)
		quant_moderate(type, bytes + i);
}

struct product product_new(const struct product_options *o)
{
	const size_t n = o->n_vectors * o->cols;
	struct product p;
	uint64_t row_bytes;

	assert_int_equal(tensor_row_bytes(o->type, o->cols, &row_bytes), AYNI_OK);
	p.weights = allocate(o->rows * row_bytes + o->offset);
	fill_weights(p.weights + o->offset, o->rows * row_bytes, o->type, o->raw);
	p.f32 = allocate(n * sizeof *p.f32);
	fill(p.f32, n, o->kind);
	p.quants = allocate(n);
	p.terms = allocate(n / QUANT_BLOCK * sizeof *p.terms);
	p.w = (struct matrix){
	    o->type, o->rows, o->cols, (size_t)row_bytes, p.weights + o->offset, false, 0};
	p.x = (struct activations){o->cols, o->n_vectors, p.f32, p.quants, p.terms};
	p.panels = allocate(panels_bytes(&p.w));
	if (tensor_type_info(o->type)->quantised)
		kernels_quantise(&kernels_scalar, p.f32, o->cols, o->n_vectors, p.quants, p.terms);
	return p;
}

void product_free(struct product *p)
{
	free(p->weights);
	free(p->panels);
	free(p->f32);
	free(p->quants);
	free(p->terms);
}

struct matrix product_in_panels(const struct product *p)
{
	if (!tensor_type_info(p->w.type)->quantised)
		return p->w;
	for (uint32_t i = 0; i < panels_of(p->w.n_rows); i++)
		panel_pack(&p->w, i, p->panels + (size_t)i * PANEL_ROWS * p->w.row_bytes);
	return matrix_in_panels(&p->w, p->panels);
}
