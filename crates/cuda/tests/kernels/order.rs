//! What would race on a card: every kernel again, with threads, warps and blocks from the last to the first. A barrier that is
//! missing gives other sums then.

use crate::mock::{Books, library};
use crate::{batch, depthwise, loss, maps, optimizer, pooled, product, stem, sums};

#[test]
fn no_kernel_needs_its_threads_in_order() {
    let Some(path) = library() else { return };
    let books = Books::open(path);
    // Other tests that run meanwhile are reversed, too, and must pass as well.
    books.set_reversed(true);
    product::forward_is_the_product_of_what_is_read();
    product::the_input_gradient_is_the_product_with_the_outputs();
    product::the_weight_gradient_is_the_sum_over_all_rows();
    pooled::forward_is_the_product_of_what_is_read();
    pooled::the_input_gradient_is_the_product_with_the_outputs();
    pooled::the_weight_gradient_is_the_sum_over_all_rows();
    depthwise::forward_is_the_convolution_of_what_is_read();
    depthwise::backward_gives_both_gradients_and_the_sums();
    stem::forward_is_the_convolution_of_the_picture();
    stem::the_weight_gradient_is_the_sum_over_all_pixels();
    maps::a_pools_gradient_is_spread_evenly_and_joins_the_multiplied_maps();
    maps::sums_are_those_of_the_gradient();
    sums::batch_norm_is_cores();
    sums::partial_weight_gradients_are_added_up();
    loss::loss_and_gradient_are_cores();
    optimizer::the_norm_of_all_gradients_is_limited();
    batch::batches_are_cores();
    books.set_reversed(false);
}
