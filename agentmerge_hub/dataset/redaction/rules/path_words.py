"""Names of folders that tell whose a path is: where home folders are, what is no user, and words of web addresses."""

import re

HOMES = re.compile(
    r"homes?\d{0,2}|home[-_]\w{1,12}|[\w-]{1,16}[_-]homes?\d{0,2}|users|people|staff|members|students?|faculty|profiles\$?|homes?\$|users\$|redirected\w{0,12}"
    r"|documents and settings|benutzer|utilisateurs|usuarios|utenti|gebruikers|personal",
    re.IGNORECASE,
)
"""Folders that hold one folder per user."""

HOME_ROOTS = re.compile(r"homes?\d{0,2}|users|u\d?|h|people", re.IGNORECASE)
"""Roots that hold one folder per user."""

CLUSTER_ROOTS = re.compile(
    r"\w{0,3}scratch[\w-]{0,8}|network|fsx[\w-]{0,10}|lustre\w{0,6}|glusterfs|gluster|gpfs\w{0,6}|beegfs\w{0,6}|ceph\w{0,4}|juicefs|jfs|pfs|panfs|nas\d{0,2}|eos|weka\w{0,4}|moosefs|orangefs|dcache|isilon|netapp|ddn"
    r"|bigdata|efs|checkpoints?|work\d?|workdir|nobackup\w{0,4}|projects?\d?|proj|groups?|labs?|nfs\w{0,20}|hpc\w{0,4}|raid\w{0,3}"
    r"|ptmp|teamspace|tigress|xdisk|glade|hkfs|wrk(?:-\w{1,8})?|capstor|iopsstor|itet-stor|dccstor|leonardo_\w{4,8}|lcrc|nesi|\w{0,3}cephfs|cpfs\d{0,2}"
    r"|playpen(?:-\w{1,6})?|usr\d",
    re.IGNORECASE,
)
"""Roots of shared file systems, below which folders have the names of groups and users."""

MOUNTS = re.compile(
    r"mnt|media|data\w{0,10}|workspaces?|Volumes|exports?|vol\w{0,10}|srv|storage\w{0,10}|shared?|shares|local\w{0,8}|ssd\w{0,4}|nvme\w{0,6}|disks?\w{0,4}|hdd\w{0,4}"
    r"|afs|net|ocean|blue|orange|juice\d?|nlp|sps|n|large_experiments|dbfs|cygdrive|host|rootfs|autofs|cluster|remote|pool|tank|zfs|lfs|dfs|fs\d{0,3}|mount|cfs|global|p|s3|bucket",
    re.IGNORECASE,
)
"""Roots of disks and shares, below which some folders have the names of users."""

SYSTEM_ROOTS = re.compile(r"tmp|var|run|opt|private|kaggle|cache|spool|root|usr|dev|content|[a-z]", re.IGNORECASE)
"""Roots below which only homes, and folders like ``jane.doe``, are those of users."""

CONTAINERS = re.compile(
    r"(?:fs|nas|srv|server|disk|vol|volume|nfs|nfs4|smb|cifs|node|store|storage|data|raid|ssd|hdd|nvme|lustre|gpfs|\w{0,3}scratch|zfs|pool|tank|part|mnt|mount|share|d|ceph|cluster|home)[-_]?\d{0,4}"
    r"|[a-z]|[a-z]{1,2}\d{1,3}|\d+|scr\d?|projects?|proj|work|labs?|groups?|teams?|depts?|research|shares|workspaces?|exports?|media|network|net|local|global|user|usb|mail|cron|crontabs|spool"
    r"|studios|this_studio|(?:def|rrg|rpp|ctb|aip)-[\w.-]{1,40}|scratch\w{1,8}|cifs|remote|external|internal|private|lab-\w{1,20}",
    re.IGNORECASE,
)
"""Folders between a root and the folders of users."""

_ORDINARY = """
    a5 ai api apache api-server apk app app-data apps archive archives artifacts assets audio backend backup backups bash batch bench benchmarks best bin bios blobs boot
    browser browsergym agentlab bucket buckets build builds bundle bus cache caches cert certs ckpt ckpts checkpoint checkpoints cgroup chrome clang class cloud code codes
    collab collections colab common components conda config configs console containers content conf contrib core corpora corpus cpu credentials cuda current custom
    daemon dags dashboard database databases dataset datasets datastore db dbus debug default deploy deps desktop dev devel dist dl docker docs documents documentation
    downloads drive drivers dump dumps env envs environment environments etc eval evals evaluation evaluations example examples exp experiment experiments exps export exports
    file external extra extras features fonts files final fixtures flask fonts frontend ftp games gcc generated git github gitlab glibc gpu grafana graphs gvfs
    helm helper hf hf_cache hf_home host hosts hub html http https huggingface image images img imgs import imports include incoming index inference info infra init
    input inputs install installs intermediate internal iso issues items java jobs jupyter jupyterhub k8s kernel kube kubernetes lang latest lib libs lib64 libexec libraries library
    licenses linux llama llm llms locale lock locks log logs logging lost+found mail main maps mariadb media memory merged merges meta metadata metrics migrations miniconda
    miniconda3 mirror misc ml mlflow mlruns mnt model model_cache models modelscope modules mongo mongodb mount music mysql nginx ngc node node_modules nodejs notebook notebooks
    nvidia objects old ollama old-backups openjdk openssl opt oracle original other out output outputs package packages papers part patches pdf pdfs photos pictures pip pipeline pipelines
    plots plugins pod pods podman policies postgres postgresql pretrained private processed prod production profile profiles prog program programs prometheus prompts public publications pulse py pycache pypi
    python python3 pytorch queue ram ramdisk raw ray records redis refs release releases rep repo repos report reports repository requirements reserved resource resources result results
    root rootfs run runs runtime samba sample samples save saved saves schema schemas scripts sdk secrets server servers service services session sessions settings setup share shared shares sharefs
    singularity site sites slurm snap snapshot snapshots software source sources spack spark spool sql sqlite src ssl stable staging start stats state static stdout storage store streams submissions
    sys system systemd tables tar tasks temp templates tensorboard test tests text tftp thirdparty third_party tmp token tokenizer tokenizers tool tools torch trace traces train training
    trainings transformers trash triton uploads upload usb utils vendor venv venvs version versions video videos virtualenvs vllm vm vms wandb wayland web weights wheels wiki win windows work
    workdir worker workers workflow workflows workspace workspaces www xdg yum zip zone zsh
    miniwob miniwob-plusplus webarena workarena visualwebarena osworld assistantbench weblinx
"""
ORDINARY = frozenset(_ORDINARY.split())
"""Folders of programs and data: whatever is below them is no folder of a user."""

_PROGRAMS = """
    accelerate aider airflow ansible arrow bar baz bazel blender brew buildkit cargo celery chroma chromium claude codex conan copilot crewai cups cursor dask deepspeed demo dialog django
    download extract extracted firefox flink foo gemini gimp gradio gradle grpc gunicorn hadoop hbase hello hive htop huggingface initrd ipython jax jekyll jetbrains kafka keras langchain libreoffice
    lightning maven mesa mozilla msf my nemo next nix npm npx nuxt onnx openai opencv overlay pandas parcel patch perl phantomjs php playwright pnpm poetry polars project projects pulumi puppet puppeteer
    pyright pytest rails react redirect ruby ruff rust scrapy screen screenshots screenshot selenium session snap solr something spacy streamlit stuff swift systemd tensorflow terraform thumbnails
    tika tmux tomcat torchinductor training transfer untar unzip unzipped uvicorn vagrant vite vscode webdriver webpack xla yarn zookeeper
"""
PROGRAMS = frozenset(_PROGRAMS.split())
"""Names that programs give their folders for temporary files."""

_WEB = """
    about account accounts action actions activate activity add address addresses admin administration advanced agenda ajax alerts all analytics announcements answer answers
    api app application applications apps archive article articles assets assigned attachment attachments auth authorize author authors availability avatar badges banner basket billing blob blog blogs
    board boards book booking bookings brand brands browse budget bulk business calendar callback campaign campaigns candidates card cards careers cart catalog catalogue categories category change
    changes chat check checklist checkout city class classes client clients collection collections comment comments community company compare compose confirm confirmation contact contacts contests content
    contract contracts copy country coupon coupons course courses create credit css current customer customers dashboard dashboards data deal deals default delete delivery departments desktop detail details dialog
    directory discount discover discussion discussions display document documents download downloads draft drafts edit editor email employees english enroll enterprise error event events
    exams explore export faq favorite favorites features feed feedback feeds filter find flow folder follow followers following forgot forgot-password forgot_password form forms forum forums facebook friends gallery garden gift
    grid group groups guide guides health help history home hotel hotels hours html icons image images img import impressum inbox incident incidents index info information insights install integrations invite
    invoice invoices issue issues item items job jobs join js jump kb kitchen knowledge landing language latest learn learning leave legal library license link linkedin links list listing lists live load loan location
    locations login logout logon log-in log-out log_in log_out mail main maintenance manage management map maps marketing me media meeting members membership menu merge_requests message messages mine mobile models module modules monthly more music my
    new news newsletter next notes notice notifications offers office online onboarding open option options order orders order-history order_history orgs organization organizations orientation overview owner package packages page pages partners password
    passwords payment payments payroll people performance permissions personal photos picture pictures ping pinterest plan planner planning plans play policies policy popular portal post posts preferences preview previous price prices pricing print
    priorities privacy problem problems process product products profile profiles project projects promo promotions public publish pull pulls purchase purchases q query question questions queue quick quote quotes
    rating ratings read recent recipes recommendations record records recover reddit refund region register registration release releases reminders renew rent report reports repositories request requests resend
    reservation reservations reset reset-password reset_password resource resources restaurant result results return returns review reviews roles room rooms route rss rules sale sales save saved schedule school search secure security
    select self seller sellers send service services session sessions set setting settings setup share shift ship shipping shop shopping show sign-in sign-out sign-up sign_in sign_out sign_up signin signout signup site sitemap sites sketch spaces specials sports staff
    start stats status stock store stores stories story stream style styles submit subscription subscriptions summary support survey surveys switch sync tab table tabs tag tags task tasks tax team teams terms test
    theme themes ticket tickets time timeline timesheet timesheets today todo tools top topic topics tour track tracking trade training transaction transactions travel tree trends trending trip trips tutorial twitter update updates upgrade upload user users vacancies validate vendor
    verify version video videos view views visit vote wallet watch week weekly welcome whatsapp widget widgets wiki wish wishlist work workflow workflows worklist workspace write xml year
    orders-list ordernow bestsellers clearance electronics clothing shoes beauty toys decor furniture furnishings improvement office-supplies appliances bath bedding lighting outdoor
"""
WEB_WORDS = frozenset(_WEB.split())
"""Parts of web addresses: a path with one of them in place of the user is none of a machine."""

NOBODY = frozenset({"shared", "public", "runner", "user", "default", "all users", "users", "everyone", "all", "home"})
"""Names of folders for everyone."""
