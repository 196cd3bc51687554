package dev.kindling.lora;

/**
 * A linear layer of a model, as PEFT would find it.
 *
 * @param name full module name, for example {@code bert.encoder.layer.0.attention.self.query}
 * @param in input features
 * @param out output features
 * @param bias whether it has one
 * @param block whether it belongs to a transformer block (rather than to a pooler or head)
 */
public record LinearModule(String name, int in, int out, boolean bias, boolean block) {
  /** Whether {@code short} is this module's name or its last components, as PEFT matches names. */
  public boolean isNamed(String suffix) {
    return name.equals(suffix) || name.endsWith("." + suffix);
  }

  /** Whether this module is, or lies inside, the module that {@code owner} names. */
  public boolean liesIn(String owner) {
    return isNamed(owner) || ("." + name).contains("." + owner + ".");
  }
}
