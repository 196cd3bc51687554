/**
 * What the CPU backends share: native memory that JavaCPP allocates, and plain loops over it for
 * what no library does better.
 */
@NullMarked
package dev.kindling.tensor.cpu;

import org.jspecify.annotations.NullMarked;
