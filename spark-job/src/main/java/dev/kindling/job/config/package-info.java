/** Configuration: HOCON in, validated records out, all problems at once. */
@NullMarked
package dev.kindling.job.config;

import org.jspecify.annotations.NullMarked;
