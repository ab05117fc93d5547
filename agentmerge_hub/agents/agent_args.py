"""A recipe's candidate and agent config → AgentLab's agent arguments."""

from copy import deepcopy

from agentmerge_hub.agents.action_sets import default_action_space
from agentmerge_hub.agents.browser.agentlab_api import AgentArgs, Benchmark
from agentmerge_hub.agents.chat_agent import ChatAgentArgs
from agentmerge_hub.agents.expert import ExpertArgs
from agentmerge_hub.agents.recipes.recipe import AgentConfig, Candidate, Recipe
from agentmerge_hub.agents.serving.engines import request_name
from agentmerge_hub.agents.solvers.solver import SOLVERS
from agentmerge_hub.errors import UserError
from agentmerge_hub.prompt import Flags


def make_agent_args(recipe: Recipe, candidate: Candidate, agent: AgentConfig, benchmark: Benchmark) -> AgentArgs:
    """The agent arguments of one candidate with one agent config. Flags that the recipe does not set follow the benchmark.

    Raises:
        UserError: for a preset that AgentLab does not have, or a setting that its agent does not take.
    """
    name = f"{candidate.name}-{agent.name}"
    if agent.flags is None:
        return _generic_agent_args(recipe, candidate, agent, name)
    if candidate.scripted:
        return ExpertArgs(agent_name=name, flags=agent.flags.model_dump())
    flags = _for_benchmark(agent.flags, benchmark).model_dump()
    return ChatAgentArgs(
        agent_name=name,
        model=request_name(candidate.path, recipe.engine) if candidate.path else candidate.model,
        flags=flags,
        tokenizer=candidate.tokenizer or candidate.path or candidate.model,
        window=recipe.window,
        answer=recipe.answer,
        image_tokens=recipe.image_tokens,
        temperature=recipe.temperature,
        max_retry=recipe.max_retry,
        chat_template_kwargs=recipe.chat_template_kwargs | candidate.chat_template_kwargs,
    )


def _for_benchmark(flags: Flags, benchmark: Benchmark) -> Flags:
    """The flags with the benchmark's action space and its tabs, unless the recipe sets them."""
    defaults = {"action_space": default_action_space(benchmark), "use_tabs": benchmark.is_multi_tab}
    return flags.model_copy(update={key: value for key, value in defaults.items() if key not in flags.model_fields_set})


def tasks_without_solver(tasks: set[str]) -> list[str]:
    """Tasks that the scripted expert cannot solve."""
    return sorted(tasks - set(SOLVERS))


def _generic_agent_args(recipe: Recipe, candidate: Candidate, agent: AgentConfig, name: str) -> AgentArgs:
    """AgentLab's own GenericAgent with one of its presets, for scores comparable with its leaderboard."""
    from agentlab.agents.generic_agent import agent_configs
    from agentlab.agents.generic_agent.generic_agent import GenericAgentArgs
    from agentlab.llm.chat_api import SelfHostedModelArgs

    flags = getattr(agent_configs, agent.generic, None)
    if not agent.generic.startswith("FLAGS_") or flags is None:
        known = ", ".join(sorted(name for name in vars(agent_configs) if name.startswith("FLAGS_")))
        raise UserError(f"AgentLab has no GenericAgent preset {agent.generic!r}: use one of {known}")
    if candidate.scripted:
        raise UserError(f"the scripted expert {candidate.name!r} cannot run as GenericAgent: give the agent flags")
    if recipe.chat_template_kwargs or candidate.chat_template_kwargs:
        raise UserError(
            "AgentLab's GenericAgent sends no chat_template_kwargs: set them at the server, e.g. with vLLM's "
            "--default-chat-template-kwargs, and remove them from the recipe, or give the agent flags"
        )
    if recipe.max_retry == 0:
        raise UserError(
            "AgentLab's GenericAgent takes max_retry for the number of answers, and with 0 it asks for none: set max_retry to 1 for no "
            "retry, or give the agent flags"
        )
    # The vllm backend reads the endpoint's address and key from the environment, so the trace contains neither.
    model = SelfHostedModelArgs(
        model_name=request_name(candidate.path, recipe.engine) if candidate.path else candidate.model,
        max_total_tokens=recipe.window,
        max_input_tokens=recipe.window - recipe.answer,
        max_new_tokens=recipe.answer,
        temperature=recipe.temperature,
        backend="vllm",
    )
    args = GenericAgentArgs(chat_model_args=model, flags=deepcopy(flags), max_retry=recipe.max_retry)
    args.agent_name = name
    return args
