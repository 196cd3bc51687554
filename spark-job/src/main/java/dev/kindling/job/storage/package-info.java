/** Where bases, data and results live: local files, Hadoop file systems, published artifacts. */
@NullMarked
package dev.kindling.job.storage;

import org.jspecify.annotations.NullMarked;
