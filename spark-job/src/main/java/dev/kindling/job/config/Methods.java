package dev.kindling.job.config;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigFactory;
import com.typesafe.config.ConfigObject;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeSet;

/** Methods by name: what {@code conf/methods.conf} sets for each, below what the user sets. */
public final class Methods {
  private static final ConfigObject ALL =
      ConfigFactory.parseResources(Methods.class.getClassLoader(), "kindling/methods.conf")
          .getObject("methods");

  private Methods() {}

  /** All of them. */
  public static SortedSet<String> names() {
    return new TreeSet<>(ALL.keySet());
  }

  /** What a configuration's method sets; nothing if there is no such method. */
  static Config settings(Config resolved) {
    String name = resolved.hasPath("method") ? name(resolved) : "lora";
    return ALL.get(name) instanceof ConfigObject settings
        ? settings.toConfig()
        : ConfigFactory.empty();
  }

  /** What is wrong with a configuration's method. */
  static Optional<String> problem(Config resolved) {
    String name = resolved.hasPath("method") ? name(resolved) : "null";
    return ALL.containsKey(name)
        ? Optional.empty()
        : Optional.of("method is " + name + ": expected " + String.join(" | ", names()));
  }

  private static String name(Config resolved) {
    return String.valueOf(resolved.getValue("method").unwrapped());
  }
}
