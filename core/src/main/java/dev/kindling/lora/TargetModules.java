package dev.kindling.lora;

import dev.kindling.lora.LinearModule.Kind;
import java.io.Serializable;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;

/** Which linear layers get a low-rank pair: PEFT's {@code target_modules}. */
public sealed interface TargetModules extends Serializable {
  /** Whether the layer is one of them. */
  boolean matches(LinearModule module);

  /** All linear layers of the transformer blocks: the default. */
  record Blocks() implements TargetModules {
    @Override
    public boolean matches(LinearModule module) {
      return module.block();
    }
  }

  /** No layer: only whole modules are trained. */
  record None() implements TargetModules {
    @Override
    public boolean matches(LinearModule module) {
      return false;
    }
  }

  /**
   * PEFT's {@code "all-linear"}: every linear layer that is not trained in full, but for a language
   * model's head.
   */
  record AllLinear() implements TargetModules {
    @Override
    public boolean matches(LinearModule module) {
      return module.block() || module.kind() == Kind.HEAD;
    }
  }

  /** Layers whose name equals one of these or ends in a dot and one of these. */
  record Names(List<String> names) implements TargetModules {
    @Override
    public boolean matches(LinearModule module) {
      return names.stream().anyMatch(module::isNamed);
    }
  }

  /** Layers whose full name the expression matches from end to end. */
  record Regex(Pattern pattern) implements TargetModules {
    @Override
    public boolean matches(LinearModule module) {
      return pattern.matcher(module.name()).matches();
    }
  }

  /** Of the declared layers those of the blocks, and outside them only the listed ones. */
  record Present(TargetModules declared, Set<String> outside) implements TargetModules {
    @Override
    public boolean matches(LinearModule module) {
      return declared.matches(module) && (module.block() || outside.contains(module.name()));
    }
  }
}
