/**
 * Optimisers and learning-rate schedules, in plain Java on the driver: what is trained is small.
 */
@NullMarked
package dev.kindling.optim;

import org.jspecify.annotations.NullMarked;
