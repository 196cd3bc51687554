/** Loss and accuracy over a whole data set. */
@NullMarked
package dev.kindling.job.evaluate;

import org.jspecify.annotations.NullMarked;
